"""The kernel that transposes, slices and expands: any strided view made a tensor of its own."""
