"""The study: what is run (`plan`), what is computed (frames and tables), what may be said (claims).

Words are in book/words.ko.yml and book/claims.ko.yml, numbers in the results; neither is
typed here.
"""
