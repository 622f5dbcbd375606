"""An application that knows nothing of Backplane: it shows the request that reached it."""
