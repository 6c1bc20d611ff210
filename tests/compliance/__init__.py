"""imaptest's scripted cases, run over a real socket against any server: `python -m tests.compliance.runner`."""
