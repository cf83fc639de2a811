"""Max, average and Lp pooling, channels-last."""
