"""What a user gives becomes one rendered request: input, parts, schema, address, keys."""
