"""What int8 and int32 stand for: DequantizeLinear."""
