# SPDX-License-Identifier: Apache-2.0
"""The log-mel spectrogram that Whisper reads, in numpy: input for other engines."""
import wave

import numpy as np

RATE, WINDOW, HOP, SECONDS = 16000, 400, 160, 30
KNEE_HZ, KNEE_MEL, LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27  # Slaney's scale: linear, then log


def read_wav(path):
    with wave.open(str(path)) as source:
        if (source.getframerate(), source.getnchannels(), source.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"{path} is not 16 kHz, mono, 16 bit")
        return np.frombuffer(source.readframes(source.getnframes()), "<i2") / np.float32(32768)


def hz_of_mel(mel):
    return np.where(mel < KNEE_MEL, mel * KNEE_HZ / KNEE_MEL,
                    KNEE_HZ * np.exp(LOG_STEP * (mel - KNEE_MEL)))


def filters(bins):
    """Triangles of unit area, [bins][WINDOW / 2 + 1]."""
    top = KNEE_MEL + np.log(RATE / 2 / KNEE_HZ) / LOG_STEP
    corner = hz_of_mel(np.linspace(0, top, bins + 2))
    hz = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    left, centre, right = corner[:-2, None], corner[1:-1, None], corner[2:, None]
    rise, fall = (hz - left) / (centre - left), (right - hz) / (right - centre)
    return np.maximum(0, np.minimum(rise, fall)) * 2 / (right - left)


def log_mel(samples, bins=80):
    """[bins][3000] of the first 30 s."""
    padded = np.zeros(SECONDS * RATE, np.float32)
    padded[: len(samples)] = samples[: SECONDS * RATE]
    padded = np.pad(padded, WINDOW // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:-1]
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    level = np.log10(np.maximum(filters(bins) @ power.T, 1e-10))
    return ((np.maximum(level, level.max() - 8) + 4) / 4).astype(np.float32)
