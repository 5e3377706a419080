"""Measure how far pictures and tensors lie apart: PSNR, SSIM, parity, SQNR."""
