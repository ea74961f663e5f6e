"""What people see of a run: progress, report, summary."""
