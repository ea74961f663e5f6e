"""Agents: models that call tools, many at once on one thread.

    from engine.agents import FunctionAgent

    agent = FunctionAgent(engine.Client(), "openai/gpt-4o-mini", [add])
    run = agent.run_stream("What is 2 + 3?", on_event=lambda event: print(event))

A run is a state machine on the client's `Multi`: it never blocks, and any loop drives it. Which
events it gives, and in which order, is told in `engine.agents.event`.
"""

from engine.agents.agent import Agent
from engine.agents.conversational import ConversationalAgent
from engine.agents.event import AgentEvent, EventType
from engine.agents.function_agent import FunctionAgent
from engine.agents.limits import Limits, Pricing
from engine.agents.memory import All, Memory, Selective, Summarise, Window
from engine.agents.react.agent import ReActAgent
from engine.agents.result import AgentResult, Step, ToolStep
from engine.agents.run import AgentRun
from engine.agents.tools.calculator import calculator
from engine.agents.tools.files import file_tools
from engine.agents.tools.http_get import http_tool
from engine.agents.tools.pending import Pending
from engine.agents.tools.tool import FunctionTool, ToolContext, tool

Price = Pricing  # its first name

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentResult",
    "AgentRun",
    "All",
    "ConversationalAgent",
    "EventType",
    "FunctionAgent",
    "FunctionTool",
    "Limits",
    "Memory",
    "Pending",
    "Price",
    "Pricing",
    "ReActAgent",
    "Selective",
    "Step",
    "Summarise",
    "ToolContext",
    "ToolStep",
    "Window",
    "calculator",
    "file_tools",
    "http_tool",
    "tool",
]
