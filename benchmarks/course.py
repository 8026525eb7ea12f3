"""Network, training and test of the course "NYU Deep Learning" (Canziani & LeCun, 2020, notebook 08)."""

import time

import torch
from torch import Tensor, nn

from benchmarks.baselines import CourseGenerator


class CourseModel(nn.Module):
    """A recurrence with a linear layer at every step."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        if cell in ("gru", "lstm"):
            self.recurrence = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](8, hidden, batch_first=True)
        else:
            self.recurrence = nn.RNN(8, hidden, batch_first=True, nonlinearity=cell.removeprefix("rnn_"))
        self.linear = nn.Linear(hidden, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, T, 4) of x (B, T, 8)."""
        return self.linear(self.recurrence(x)[0])


def course_steps(
    model: CourseModel,
    optimizer: torch.optim.Optimizer,
    generator: CourseGenerator,
    sequences: int,
    max_grad_norm: float | None = None,
) -> int:
    """Train like the course and return the number of right answers."""
    criterion = nn.CrossEntropyLoss()
    correct = 0
    model.train()
    for _ in range(sequences // generator.batch_size):
        x, y = generator.batch()
        data, target = torch.from_numpy(x).float(), torch.from_numpy(y).long()
        labels = target.argmax(dim=1)
        output = model(data)[:, -1, :]
        loss = criterion(output, labels)
        optimizer.zero_grad()
        loss.backward()
        if max_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        loss.item()
        correct += int((output.argmax(dim=1) == labels).sum().item())
    return correct


def course_test(model: CourseModel, generator: CourseGenerator, sequences: int) -> tuple[int, float]:
    """Return right answers and summed loss on newly generated sequences, like the course's test."""
    criterion = nn.CrossEntropyLoss()
    correct, loss = 0, 0.0
    model.eval()
    with torch.no_grad():
        for _ in range(sequences // generator.batch_size):
            x, y = generator.batch()
            data, target = torch.from_numpy(x).float(), torch.from_numpy(y).long()
            labels = target.argmax(dim=1)
            output = model(data)[:, -1, :]
            loss += criterion(output, labels).item()
            correct += int((output.argmax(dim=1) == labels).sum().item())
    return correct, loss


def course_loop(level: str, cell: str, hidden: int, sequences: int) -> float:
    """Return the sequences per second of the course's training, including its generator."""
    model = CourseModel(cell, hidden)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    started = time.perf_counter()
    course_steps(model, optimizer, CourseGenerator(level), sequences)
    return sequences / (time.perf_counter() - started)


def course_notebook(level: str, epochs: int = 100) -> float:
    """Run the notebook as a script and return the accuracy of the last test."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = CourseModel("rnn_relu", 4)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    share = 0.0
    for epoch in range(epochs):
        course_steps(model, optimizer, CourseGenerator(level, seed=2 * epoch), 992)
        correct, _ = course_test(model, CourseGenerator(level, seed=2 * epoch + 1), 992)
        share = correct / 992
    return share
