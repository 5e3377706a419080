"""Round weights by GPTQ, and hold what a file stores against what the plan records."""
