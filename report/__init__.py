"""What people read: the engines are asked, and what breaks a claim is made small, told, drawn, and written for other tools."""
