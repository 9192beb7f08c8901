"""A page in the browser to try tuned models: images, class names, saliency, comparison of runs, corrections."""
