"""Settings: base holds everything, dev (embedded), production and test override."""
