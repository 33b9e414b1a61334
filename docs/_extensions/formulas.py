"""The formulas of layers, activations, losses, optimizers, schedules, ..., as LaTeX.

Not here: names and defaults, which tables.py takes from fastnn's registries. A name that is missing
here or there fails the build and tests/test_docs.py.
"""

LAYERS = {  # name: (z, the gradient that is passed on, gradients of the parameters)
    "dense": (
        [r"a = z_{\text{prev}} W + b", r"z = h(a)"],
        [r"\delta = g \odot h'(a)", r"g_{\text{prev}} = \delta\, W^T"],
        [r"dW = z_{\text{prev}}^T\, \delta", r"db = \sum_{\text{rows}} \delta"],
    ),
    "dropout": (
        [r"z = \frac{m \odot z_{\text{prev}}}{1 - p}"],
        [r"g_{\text{prev}} = \frac{m \odot g}{1 - p}"],
        [],
    ),
    "standardize": (
        [r"z = \frac{z_{\text{prev}} - \mu}{\sigma}"],
        [r"g_{\text{prev}} = \frac{g}{\sigma}"],
        [],
    ),
    "layer_norm": (
        [
            r"\hat{z} = s\, (z_{\text{prev}} - \bar{z}_{\text{prev}})",
            r"z = \gamma \odot \hat{z} + \beta",
        ],
        [
            r"u = \gamma \odot g",
            r"g_{\text{prev}} = s\, (u - \bar{u} - \hat{z}\, \overline{u \odot \hat{z}})",
        ],
        [r"d\gamma = \sum_{\text{rows}} g \odot \hat{z}", r"d\beta = \sum_{\text{rows}} g"],
    ),
    "activate": (
        [r"z = h(z_{\text{prev}})"],
        [r"g_{\text{prev}} = g \odot h'(z_{\text{prev}})"],
        [],
    ),
    "embedding": (
        [r"z_k = W_k[c_k]"],
        [r"g_{\text{prev}, k} = 0"],
        [r"dW_k[c] = \sum_{\text{rows with } c_k = c} g_k"],
    ),
    "numeric_embedding": (
        [
            r"e_t = \min\left(\max\left(0, \tfrac{x_k - b_{t-1}}{b_t - b_{t-1}}\right), 1\right)",
            r"\text{or}\quad e = (\sin 2 \pi c_k x_k, \cos 2 \pi c_k x_k)",
            r"z_k = h(e\, W_k + b_k)",
        ],
        [
            r"\delta_k = g_k \odot h'(a_k), \quad u_k = \delta_k\, W_k^T",
            r"g_{\text{prev}, k} = u_k \cdot \frac{\partial e}{\partial x_k}",
        ],
        [
            r"dW_k = e^T\, \delta_k, \quad db_k = \sum_{\text{rows}} \delta_k",
            r"dc_k = \sum_{\text{rows}} 2 \pi x_k"
            r"\left(u_{\sin} \odot \cos 2 \pi c_k x_k"
            r" - u_{\cos} \odot \sin 2 \pi c_k x_k\right)",
        ],
    ),
    "residual": (
        [r"z = z_{\text{prev}} + f(z_{\text{prev}})"],
        [r"g_{\text{prev}} = g + J_f^T g"],
        [],
    ),
    "ensemble": (
        [
            r"x_m = r_m \odot z_{\text{prev}}, \quad z_m = h(f(x_m)\, W_m + b_m)",
            r"z = \frac{1}{k} \sum_m z_m, \quad E = \frac{1}{k} \sum_m E(z_m)",
        ],
        [r"g_{\text{prev}} = \sum_m r_m \odot g_{x_m}"],
        [
            r"dr_m = \sum_{\text{rows}} z_{\text{prev}} \odot g_{x_m}",
            r"dW_m = f(x_m)^T\, \delta_m, \quad db_m = \sum_{\text{rows}} \delta_m",
        ],
    ),
}

ACTIVATIONS = {  # name: (z = h(a), its derivative)
    "identity": (r"a", r"1"),
    "sigmoid": (r"\frac{e^a}{1 + e^a}", r"z (1 - z)"),
    "tanh": (r"\frac{e^a - e^{-a}}{e^a + e^{-a}}", r"1 - z^2"),
    "relu": (r"\max(0, a)", r"[a > 0]"),
    "leaky_relu": (r"[a > 0]\, a + [a \le 0]\, \alpha a", r"[a > 0] + [a \le 0]\, \alpha"),
    "softmax": (
        r"\frac{e^{a_k}}{\sum_j e^{a_j}}",
        r"\frac{\partial z_k}{\partial a_j} = z_k ([k = j] - z_j)",
    ),
    "elu": (r"[a > 0]\, a + [a \le 0]\, \alpha (e^a - 1)", r"[a > 0] + [a \le 0]\, \alpha e^a"),
    "selu": (
        r"s \left([a > 0]\, a + [a \le 0]\, \beta (e^a - 1)\right)",
        r"s \left([a > 0] + [a \le 0]\, \beta e^a\right)",
    ),
    "gelu": (r"a\, \Phi(a)", r"\Phi(a) + \frac{a}{\sqrt{2 \pi}} e^{-a^2 / 2}"),
    "silu": (r"a\, \sigma(a)", r"\sigma(a) + z\, \sigma(-a)"),
    "softplus": (r"\log(1 + e^a)", r"\sigma(a)"),
    "exp": (r"e^a", r"z"),
    "gelu_tanh": (
        r"a s, \quad s = \sigma\left(\sqrt{8 / \pi}\, (a + 0.044715\, a^3)\right)",
        r"s + z (1 - s) \sqrt{8 / \pi}\, (1 + 0.134145\, a^2)",
    ),
    "mish": (
        r"a t, \quad t = \tanh \log(1 + e^a)",
        r"t + a (1 - t^2)\, \sigma(a)",
    ),
    "relu6": (r"\min(\max(0, a), 6)", r"[0 < a < 6]"),
    "hard_tanh": (r"\min(\max(-1, a), 1)", r"[-1 < a < 1]"),
    "hard_sigmoid": (
        r"\min\left(\max\left(0, \frac{a + 3}{6}\right), 1\right)",
        r"\frac{[-3 < a < 3]}{6}",
    ),
    "hard_silu": (
        r"a \min\left(\max\left(0, \frac{a + 3}{6}\right), 1\right)",
        r"[-3 < a < 3] \left(\frac{a}{3} + \frac{1}{2}\right) + [a \ge 3]",
    ),
}

LOSSES = {  # name: (E of a row, delta = dE/da, purpose)
    "squared_error": (r"\frac{1}{2} \sum_k (y_k - t_k)^2", r"h'(a)\,(y - t)", "numbers"),
    "absolute_error": (
        r"\sum_k |y_k - t_k|",
        r"h'(a)\, \operatorname{sign}(y - t)",
        "numbers, towards the median",
    ),
    "huber": (
        r"\sum_k c_k \left(r_k - \frac{c_k}{2}\right)",
        r"h'(a)\, c",
        "numbers with outliers (Huber 1964)",
    ),
    "quantile": (
        r"\sum_k \max\left(-q_k r_k, (1 - q_k) r_k\right)",
        r"h'(a)\, ([r > 0] - q)",
        "quantiles (Koenker, Bassett 1978)",
    ),
    "linear": (r"\sum_k t_k\, y_k", r"h'(a)\, t", "gradients computed elsewhere"),
    "poisson": (
        r"\sum_k (y_k - t_k \log y_k)",
        r"h'(a) \left(1 - \frac{t}{y}\right)",
        "counts and rates",
    ),
    "gaussian_nll": (
        r"\frac{1}{2} \sum_k \left(s_k + r_k^2\, e^{-s_k}\right), \quad y = (m, s), r = m - t",
        r"\left(r e^{-s},\; \tfrac{1}{2} (1 - r^2 e^{-s})\right)",
        "means and variances (Nix, Weigend 1994)",
    ),
    "binary_cross_entropy": (
        r"-\sum_k \left(t_k \log y_k + (1 - t_k) \log(1 - y_k)\right)",
        r"y - t",
        "two classes, or several labels per row",
    ),
    "cross_entropy": (r"-\sum_g t_g \log y_g", r"y - t", "one class of many"),
}

OPTIMIZERS = {  # name: (lines of the rule, source)
    "sgd": (
        [
            r"w \leftarrow w - \eta g",
            r"\text{momentum:} \quad v \leftarrow \mu v - \eta g, \quad w \leftarrow w + v",
            r"\text{nesterov:} \quad v \leftarrow \mu v - \eta g, \quad"
            r" w \leftarrow w + \mu v - \eta g",
        ],
        "Polyak 1964; Sutskever et al., ICML 2013",
    ),
    "adagrad": (
        [r"s \leftarrow s + g^2", r"w \leftarrow w - \frac{\eta g}{\sqrt{s} + \epsilon}"],
        "Duchi et al., JMLR 2011",
    ),
    "rmsprop": (
        [
            r"s \leftarrow \rho s + (1 - \rho) g^2",
            r"w \leftarrow w - \frac{\eta g}{\sqrt{s} + \epsilon}",
            r"\text{momentum:} \quad v \leftarrow \mu v - \frac{\eta g}{\sqrt{s} + \epsilon}, \quad"
            r" w \leftarrow w + v",
            r"\text{centered:} \quad m \leftarrow \rho m + (1 - \rho) g, \quad"
            r" s \rightarrow \max(s - m^2, 0) \text{ in the root}",
        ],
        "Hinton 2012; Graves 2013, section 4.2",
    ),
    "adam": (
        [
            r"m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad"
            r" v \leftarrow \beta_2 v + (1 - \beta_2) g^2",
            r"\hat{m} = \frac{m}{1 - \beta_1^t}, \quad \hat{v} = \frac{v}{1 - \beta_2^t}, \quad"
            r" w \leftarrow w - \frac{\eta \hat{m}}{\sqrt{\hat{v}} + \epsilon}",
            r"\text{amsgrad:} \quad \hat{v} = \frac{\max_{i \le t} v_i}{1 - \beta_2^t}",
            r"\text{epsilon_hat:} \quad \epsilon"
            r" \rightarrow \frac{\epsilon}{\sqrt{1 - \beta_2^t}}",
        ],
        "Kingma, Ba, ICLR 2015; Reddi et al., ICLR 2018",
    ),
    "adamw": (
        [
            r"\text{Adam with a weight decay } \lambda > 0 \text{ by default}",
        ],
        "Loshchilov, Hutter, ICLR 2019",
    ),
    "nadam": (
        [
            r"m, v, \hat{v} \text{ as in Adam}, \quad \mu_t = \beta_1"
            r" \left(1 - \tfrac{1}{2}\, 0.96^{t \psi}\right)",
            r"\hat{m} = \frac{\mu_{t+1} m}{1 - \prod_{i=1}^{t+1} \mu_i}"
            r" + \frac{(1 - \mu_t) g}{1 - \prod_{i=1}^{t} \mu_i}, \quad"
            r" w \leftarrow w - \frac{\eta \hat{m}}{\sqrt{\hat{v}} + \epsilon}",
        ],
        "Dozat, ICLR workshop 2016; momentum_decay is psi",
    ),
    "lion": (
        [
            r"w \leftarrow w - \eta\, \operatorname{sign}(\beta_1 m + (1 - \beta_1) g)",
            r"m \leftarrow \beta_2 m + (1 - \beta_2) g",
        ],
        "Chen et al., NeurIPS 2023",
    ),
    "schedule_free_adamw": (
        [
            r"s_t = \min(1, t / T), \quad v, \hat{v} \text{ as in Adam}, \quad z \leftarrow z"
            r" - s_t \eta \left(\frac{g}{\sqrt{\hat{v}} + \epsilon} + \lambda w\right)",
            r"x \leftarrow x + \frac{s_t^2}{\sum_{i=1}^{t} s_i^2} (z - x), \quad"
            r" w \leftarrow z + \beta_1 (x - z)",
        ],
        "Defazio et al., NeurIPS 2024: the network is evaluated at x; warmup_steps is T",
    ),
}

SCHEDULES = {  # name: (the rate, source)
    "constant": (r"\eta_0", ""),
    "step_decay": (r"\eta_0\, r^{\lfloor t / T \rfloor}", ""),
    "exponential_decay": (
        r"\eta_0\, r^{t / T}, \quad \text{staircase: } \eta_0\, r^{\lfloor t / T \rfloor}",
        "",
    ),
    "piecewise_constant_decay": (
        r"\eta_i, \quad i = \sum_j [t > t_j]",
        "values and the boundaries t_j between them",
    ),
    "cosine_decay": (
        r"\eta_0 \left(\alpha + (1 - \alpha) \frac{1 + \cos(\pi \min(t / T, 1))}{2}\right)",
        "Loshchilov, Hutter, ICLR 2017",
    ),
    "cosine_restarts": (
        r"\eta_0 \left(\alpha + (1 - \alpha)\, m^i\, \frac{1 + \cos(\pi t_i / (T u^i))}{2}\right)",
        "Loshchilov, Hutter, ICLR 2017; t_i steps into the i-th run, which is T u^i long",
    ),
    "inverse_scaling": (r"\frac{\eta_0}{(1 + t)^p}", "scikit-learn's invscaling"),
    "one_cycle": (
        r"\text{half cosines: } \frac{\eta_{\text{max}}}{d}, \quad \eta_{\text{max}}, \quad"
        r" \frac{\eta_{\text{max}}}{d\, f}",
        "Smith, Topin 2017",
    ),
    "adaptive": (
        r"\eta \leftarrow \max(c\, \eta, \eta_{\text{min}})",
        "after the training loss has stopped falling; scikit-learn's adaptive",
    ),
    "linear_warmup": (
        r"\eta_{\text{start}} + (\eta_0 - \eta_{\text{start}}) \frac{t}{T}",
        "up to T, then the other schedule from its beginning",
    ),
}

INITIALIZERS = {  # name: (distribution, source)
    "glorot_uniform": (
        r"U\left[-c, c\right], \quad c = \sqrt{\frac{6}{n_{\text{in}} + n_{\text{out}}}}",
        "Glorot, Bengio, AISTATS 2010",
    ),
    "glorot_normal": (
        r"N\left(0, \frac{2}{n_{\text{in}} + n_{\text{out}}}\right)",
        "Glorot, Bengio 2010",
    ),
    "he_uniform": (
        r"U\left[-c, c\right], \quad c = \sqrt{\frac{6}{n_{\text{in}}}}",
        "He et al., ICCV 2015",
    ),
    "he_normal": (r"N\left(0, \frac{2}{n_{\text{in}}}\right)", "He et al. 2015"),
    "lecun_uniform": (
        r"U\left[-c, c\right], \quad c = \sqrt{\frac{3}{n_{\text{in}}}}",
        "LeCun et al., Efficient BackProp, 1998",
    ),
    "lecun_normal": (r"N\left(0, \frac{1}{n_{\text{in}}}\right)", "LeCun et al. 1998"),
    "orthogonal": (
        r"\text{orthonormal rows or columns}",
        "Saxe et al., ICLR 2014",
    ),
    "zeros": (r"0", ""),
}

METRICS = {  # name: value
    "accuracy": r"\frac{\sum_i w_i\, [\operatorname{argmax} y_i = t_i]}{\sum_i w_i}",
    "top_k_accuracy": (
        r"\frac{\sum_i w_i\, [\text{rank of } y_{i t_i} \text{ among } y_i \le k]}{\sum_i w_i}"
    ),
    "balanced_accuracy": (
        r"\frac{1}{n} \sum_c \frac{\mathrm{TP}_c}{\mathrm{TP}_c + \mathrm{FN}_c}"
    ),
    "precision": r"\frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FP}}",
    "recall": r"\frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FN}}",
    "f1": r"\frac{2\, \mathrm{TP}}{2\, \mathrm{TP} + \mathrm{FP} + \mathrm{FN}}",
    "log_loss": r"-\frac{\sum_i w_i \log y_{i t_i}}{\sum_i w_i}",
    "r2": r"1 - \frac{\sum_i w_i (t_i - y_i)^2}{\sum_i w_i (t_i - \bar{t})^2}",
    "mae": r"\frac{\sum_i w_i |t_i - y_i|}{\sum_i w_i}",
    "mse": r"\frac{\sum_i w_i (t_i - y_i)^2}{\sum_i w_i}",
    "roc_auc": (
        r"\frac{\sum_{ij} w_i w_j ([y_i > y_j] + \frac{1}{2} [y_i = y_j])}{\sum_{ij} w_i w_j},"
        r" \quad t_i = 1, t_j = 0"
    ),
}
