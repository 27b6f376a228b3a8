//! Text to our statements; what is not ours goes to DataFusion's parser unchanged.
