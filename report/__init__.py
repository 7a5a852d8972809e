"""What becomes of a trace that breaks a claim: it is made small, told, and drawn."""
