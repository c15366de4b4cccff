"""The lean data plane: publishes, deliveries, confirms and settlements on the socket that aiormq opened.

aiormq shakes hands, sends heartbeats, declares, binds, consumes and closes. On chosen channels the frames that come
with every message are read and written here instead, without a queue, a task or a lock for each::

    framing      bytes to frames and back          pure
    methods      the methods of one message        pure
    properties   a message's properties            pure
    tables       its headers                       pure
    confirms     which publish awaits what         pure
    settling     which acknowledgements to write   pure
    wire         the traffic of a connection, between its socket, aiormq and the taken channels
    sharing      the socket itself, opened for aiormq
    channel      one taken channel: contents, flow, its end
    publisher, consumer, connection, transport     the seam's promises, on these
"""
