"""What plugins say of themselves: manifests and what follows from them."""
