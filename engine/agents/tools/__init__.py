"""What a model may call: tools made from functions, their schemas, and how they run."""
