# The shop's settings, one a line.
currency=EUR
