def find_run(*a): return None
def save_run(*a): return a
Run=object
