"""From the C of the steps to a file and its header: where values lie, one image, many images, entry points."""
