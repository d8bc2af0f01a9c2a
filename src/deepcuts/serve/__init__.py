"""A model, served: REST, a web page, and what music players speak. A skin over `recommend.Recommender`."""
