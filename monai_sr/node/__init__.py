"""A DICOM node: images in by network, derived series out.

- ``config``: :func:`.config.read_config` -> :class:`.config.NodeConfig`, all keys of the YAML.
- ``spool``: :class:`.spool.Spool` with ``has_room()``, ``used_bytes()`` and ``open_sender()``. A
  sender (``with spool.open_sender() as sender``) takes each object: ``with sender.part() as part``,
  ``part.write(bytes)`` of a whole DICOM file, ``sender.store(part)`` -> :class:`.objects.Stored`:
  when that returns, the object is safe. :class:`.objects.RefusedError` has the ``status``.
- ``quarantine``: list, retry and drop what failed.
- ``scp``: associations in; ``worker``: complete studies to results; ``sender``: results out, to
  what has the methods of :class:`.sender.Destination`; ``service``: all of it, with
  :class:`.metrics.Metrics`.
- ``http``, ``multipart``, ``stow``: instances in by STOW-RS; ``watch``: health and figures over the
  same server; ``dicomweb``: a destination that is reached by STOW-RS.
"""
