"""MaskBench: real schemas, valid and invalid instances, our compiler beside llguidance's own and llama.cpp's."""
