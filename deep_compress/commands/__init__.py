"""The commands' faces: options in, a job called, results printed; `cli` puts them together."""
