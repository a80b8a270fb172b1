"""Bridges from other people's pipelines to the library: what they hand over becomes loads that can go on."""
