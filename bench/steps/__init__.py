"""What each kind of safety costs: mcproxy beside copies of itself from which something was cut out."""
