"""A server with wrong answers, which the checks of a server must find."""


class Altered:
    """A client of the server that changes the answers of one signature."""

    def __init__(self, client, signature, change):
        self._client, self._signature, self._change = client, signature, change

    def call(self, signature, inputs):
        if signature == self._signature:
            return self._change(self._client, inputs)
        return self._client.call(signature, inputs)
