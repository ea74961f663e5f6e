"""One thin file for each foreign event loop; imported by name, as in `engine.loops.asyncio`."""
