"""What operators watch and run: health, metrics, the doctor, backups and purges."""
