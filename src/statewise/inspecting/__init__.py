"""Inside a trained net: what its gates and states do on some data, and whether that is healthy: ``statewise.inspect``.

recording.py -> measures.py -> findings.py, pictures.py -> inspection.py
"""
