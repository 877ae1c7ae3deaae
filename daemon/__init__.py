"""What both programs that run for long need on their host: settings and probes. Knows neither of them, nor the wire."""
