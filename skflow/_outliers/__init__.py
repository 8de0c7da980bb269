"""The outlier detector: scores at several resolutions, calibration, reasons."""
