"""Digits with PyTorch."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

X, y = load_digits(return_X_y=True)
X = torch.tensor(X / 16, dtype=torch.float32)
y = torch.tensor(y)

torch.manual_seed(0)
net = nn.Sequential(
    nn.Linear(64, 128),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(128, 10),
)
loss_of = nn.CrossEntropyLoss()  # of logits
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
    optimizer,
    T_max=30,
)
rows = TensorDataset(X[:1500], y[:1500])
batches = DataLoader(rows, batch_size=32, shuffle=True)
net.train()
for _ in range(30):
    for inputs, labels in batches:
        optimizer.zero_grad()
        loss = loss_of(net(inputs), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    schedule.step()
torch.save(net.state_dict(), "digits.pt")

net.load_state_dict(torch.load("digits.pt"))
net.eval()
with torch.no_grad():
    predicted = net(X[1500:]).argmax(dim=1)
accuracy = (predicted == y[1500:]).float().mean().item()
print(f"accuracy {accuracy:.1%}")
