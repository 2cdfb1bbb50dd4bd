"""How arithmetic is done: layouts, precisions and kernels that make a step fast."""
