"""A game at 60 frames a second whose characters are played by models (pygame).

The game's loop is in charge: each frame gives the engine 2 ms, however much the servers send.
"""

from __future__ import annotations

import os
import textwrap

import pygame

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
NAMES = ["the baker", "the smith", "the ferryman", "the cat"]
SIZE = (640, 400)


class Villager:
    def __init__(self, name: str, place: int, client: engine.Client) -> None:
        self.name = name
        self.x, self.speed = 30.0 + 40 * place, 0.4 + 0.2 * place
        self.y = 40 + 90 * place
        self.speech = client.stream(MODEL, f"You are {name} in a small village. Say something.")

    def draw(self, screen: pygame.Surface, font: pygame.Font) -> None:
        self.x += self.speed
        if not 10 < self.x < 170:
            self.speed = -self.speed
        pygame.draw.circle(screen, "#e0a458", (self.x, self.y), 14)
        for row, line in enumerate(textwrap.wrap(self.speech.text, 60)[-4:]):
            screen.blit(font.render(line, True, "white"), (self.x + 30, self.y - 24 + 18 * row))


def main(client: engine.Client) -> None:
    pygame.display.init()
    pygame.font.init()
    screen, clock = pygame.display.set_mode(SIZE), pygame.time.Clock()
    font = pygame.Font(None, 20)
    villagers = [Villager(name, place, client) for place, name in enumerate(NAMES)]
    late = frames = 0
    while all(event.type != pygame.QUIT for event in pygame.event.get()):
        client.multi.perform(max_seconds=0.001)
        client.multi.info_read(max_seconds=0.001)
        screen.fill("#24323f")
        for villager in villagers:
            villager.draw(screen, font)
        pygame.display.flip()
        frames += 1
        late += clock.tick(60) > 20  # milliseconds since the last frame
    print(f"{frames} frames, {clock.get_fps():.0f} a second, {late} of them late")
    pygame.quit()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    with engine.Client() as client:
        main(client)
