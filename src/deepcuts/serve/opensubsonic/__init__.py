"""OpenSubsonic: what music players speak. Existing players then show recommendations with no plugin."""
