"""What a developer runs beside the product: the one-machine cluster, the images, the demo."""
