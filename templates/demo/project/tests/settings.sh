. lib/settings.sh
[ "$currency" = EUR ]
