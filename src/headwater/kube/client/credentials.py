"""The ``Authorization`` header of a client, renewed as tokens are."""

import asyncio
import base64
import json
import os
import time
from datetime import UTC, datetime

from headwater.kube.client.kubeconfig import Access, ExecPlugin, KubeconfigError, exec_credential
from headwater.kube.meta.time import parse_time

_FILE_LIFETIME = 60.0
"""Seconds after which a token file is read again, as client-go does."""


class Credentials:
    """Answers the header for the next request."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._token = access.token
        self._valid_until = float("inf") if access.token else 0.0
        self._lock = asyncio.Lock()

    async def header(self) -> str | None:
        """Return the header's value, or None where a certificate (or nothing) speaks for the client.

        Raises ``KubeconfigError`` when a token cannot be had.
        """
        access = self._access
        if access.token_file is not None:
            if time.monotonic() >= self._valid_until:
                try:
                    self._token = access.token_file.read_text().strip()
                except OSError as error:
                    raise KubeconfigError(f"cannot read the token {access.token_file}: {error.strerror}") from error
                self._valid_until = time.monotonic() + _FILE_LIFETIME
        elif access.exec_plugin is not None:
            async with self._lock:
                if time.monotonic() >= self._valid_until:
                    await self._ask(access.exec_plugin)
        elif access.username:
            return "Basic " + base64.b64encode(f"{access.username}:{access.password}".encode()).decode()
        return f"Bearer {self._token}" if self._token else None

    def refused(self) -> bool:
        """Forget a token that the server did not accept; tell whether a new one can be had."""
        if self._access.token_file is None and self._access.exec_plugin is None:
            return False
        self._valid_until = 0.0
        return True

    async def _ask(self, plugin: ExecPlugin) -> None:
        request = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        env = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": json.dumps(request)}
        try:
            process = await asyncio.create_subprocess_exec(
                plugin.command,
                *plugin.args,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise KubeconfigError(f"cannot start the credential plugin {plugin.command!r}: {error.strerror}") from error
        output, said = await process.communicate()
        if process.returncode != 0:
            raise KubeconfigError(
                f"the credential plugin {plugin.command!r} failed with exit code {process.returncode}: "
                f"{said.decode(errors='replace').strip()[-500:]}"
            )
        self._token, expiry = exec_credential(plugin, output)
        left = (parse_time(expiry) - datetime.now(UTC)).total_seconds() if expiry else float("inf")
        self._valid_until = time.monotonic() + max(0.0, left - 10)
