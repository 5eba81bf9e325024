"""What is to move, and the form of the database: plan, shape, timestamps."""
