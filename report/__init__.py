"""What people read: verdicts and counterexamples as text, drawings, a page of HTML, and files for other tools."""
