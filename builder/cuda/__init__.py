"""What CUDA engines need of the builder: edges between steps, compiled kernels, predicted times (docs/cuda.md)."""
