"""ReAct: an agent for models without tool calls; the text protocol, its parser, its action."""
