"""A real kernel as a target: User Mode Linux, which is built from the user's tree, with a server that runs its mm/dmapool.c."""
