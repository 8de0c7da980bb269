"""The outlier detector: scorers, calibration, reasons."""
