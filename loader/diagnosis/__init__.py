"""What `loader doctor` looks at. Every look is a finding, never an exception; no record is sent."""
