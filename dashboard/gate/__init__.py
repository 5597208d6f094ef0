"""What stands before everything the server answers: who asks, from where, and for what."""
