"""What is to move, and how the database looks: plan, shape, timestamps."""
