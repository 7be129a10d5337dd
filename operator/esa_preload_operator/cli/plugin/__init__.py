"""`kubectl esa-preload`: asks for resets, follows them and says what is the matter, through the kubectl on the PATH."""
